"""Defines the result of a fit beside the models: catalogue, candidate tables, histories."""

from dataclasses import dataclass

from serve_app.domain.candidate_tables import CandidateTables
from serve_app.domain.catalogue import Catalogue
from serve_app.domain.interactions import HistoryArchive


@dataclass(frozen=True, slots=True)
class Fitted:
    """Arrays of one fit. All of them number items as the catalogue, and users as the archive."""

    catalogue: Catalogue
    tables: CandidateTables
    archive: HistoryArchive
