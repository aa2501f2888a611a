"""Settings of fits that learn from few examples, for tests of anything but their quality."""

from typing import Any

FEW_EXAMPLES: dict[str, Any] = {
    "n_tuning_users": 20,
    "n_further_moments": 2,
    "max_negatives": 30,
}
