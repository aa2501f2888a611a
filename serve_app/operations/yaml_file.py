"""Reads a YAML file of settings, and refuses a key that occurs twice."""

from collections import Counter
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from serve_app.errors import SettingsInvalid
from serve_app.operations.faults import NOT_A_MAPPING


def load_yaml(path: Path) -> dict[str, Any]:
    """Reads a YAML file whose top level is a mapping.

    Raises:
        SettingsInvalid: the file is missing, is not YAML, has a key twice, or has another form.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsInvalid(str(path), "no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(str(path), f"cannot be read: {error}") from error
    try:
        content = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        raise SettingsInvalid(str(path), " ".join(str(error).split())) from error
    if not isinstance(content, dict):
        raise SettingsInvalid(str(path), NOT_A_MAPPING)
    return content


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a key that occurs twice is an error instead of silently replaced."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, n in Counter(keys).items():
            if n > 1 and key != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} stands {n} times", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)
