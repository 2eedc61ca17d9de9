"""The suite that every persister passes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.contracts.persister_audit import AuditContract
from tests.contracts.persister_case import Fixture, PersisterTestCase
from tests.contracts.persister_catalog import CatalogContract, HostsContract
from tests.contracts.persister_certificates import CertificatesContract
from tests.contracts.persister_clocks import ClocksContract
from tests.contracts.persister_credentials import CredentialsContract
from tests.contracts.persister_deadlines import DeadlinesContract
from tests.contracts.persister_defects import DefectsContract
from tests.contracts.persister_history import ForgetContract, HistoryContract
from tests.contracts.persister_instances import ConditionsContract, InstancesContract
from tests.contracts.persister_leases import LeasesContract
from tests.contracts.persister_listings import ListingsContract, OnlyContract
from tests.contracts.persister_liveness import LivenessContract
from tests.contracts.persister_moves import MovesContract
from tests.contracts.persister_operations import BeginContract
from tests.contracts.persister_outcomes import CommitContract
from tests.contracts.persister_races import RaceContract
from tests.contracts.persister_relocations import RelocationContract
from tests.contracts.persister_requests import CancelContract, HastenContract
from tests.contracts.persister_reservations import NeighboursContract, ReservationsContract
from tests.contracts.persister_seam import SeamContract
from tests.contracts.persister_silence import SilenceContract
from tests.contracts.persister_superseding import SupersedeContract
from tests.contracts.persister_texts import TextsContract
from tests.contracts.persister_tombstones import TombstonesContract
from tests.contracts.persister_updates import UpdateContract

CONTRACTS: tuple[type[PersisterTestCase], ...] = (
    SeamContract,
    CatalogContract,
    HostsContract,
    CertificatesContract,
    CredentialsContract,
    SilenceContract,
    LivenessContract,
    InstancesContract,
    ConditionsContract,
    BeginContract,
    UpdateContract,
    SupersedeContract,
    DeadlinesContract,
    RaceContract,
    ReservationsContract,
    MovesContract,
    RelocationContract,
    NeighboursContract,
    DefectsContract,
    CommitContract,
    LeasesContract,
    CancelContract,
    HastenContract,
    HistoryContract,
    ForgetContract,
    ListingsContract,
    OnlyContract,
    TextsContract,
    TombstonesContract,
    ClocksContract,
    AuditContract,
)


def cases_for(
    module: str, driver: str, make_fixture: Callable[[SynchronousTestCase], Fixture]
) -> dict[str, type[PersisterTestCase]]:
    """Return a test case for each contract, by its name: what the module adds to its own names."""
    cases: dict[str, type[PersisterTestCase]] = {}
    for kind in CONTRACTS:
        name = f"{driver}{kind.__name__.removesuffix('Contract')}Tests"
        members = {"make_fixture": staticmethod(make_fixture), "__module__": module, "__doc__": kind.__doc__}
        cases[name] = type(name, (kind,), members)
    return cases
