"""Defines what a fit leaves beside the models: catalogue, candidate tables, histories."""

from dataclasses import dataclass

from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import HistoryArchive


@dataclass(frozen=True, slots=True)
class Fitted:
    """The fitted arrays that belong together: they number items and users alike.

    Attributes:
        catalogue: all items; the rows of the tables and of the archive's events are its rows.
        tables: the sources look up candidates in them.
        archive: the users' histories; its users are numbered as the baskets of the tables.
    """

    catalogue: Catalogue
    tables: CandidateTables
    archive: HistoryArchive
