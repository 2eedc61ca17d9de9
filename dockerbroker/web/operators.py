"""The sections under `/admin`: whoever adds one adds a resource here."""

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.audit_log import AuditLog
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.credentials import Admission
from dockerbroker.broker.host_administration import HostAdministration
from dockerbroker.broker.inventory import Inventory
from dockerbroker.broker.operations import Operations
from dockerbroker.broker.sweeping import Sweeps
from dockerbroker.web.administration import CatalogRoutes
from dockerbroker.web.audit import AuditRoutes
from dockerbroker.web.certificates import CertificateLists
from dockerbroker.web.credentials import CredentialRoutes
from dockerbroker.web.documents import DocumentRoutes
from dockerbroker.web.hosts import HostRoutes
from dockerbroker.web.inventory import InventoryRoutes
from dockerbroker.web.keys import KeyRoutes
from dockerbroker.web.reaper import ReaperRoutes
from dockerbroker.web.sections import Sections
from dockerbroker.web.tls import ShownCertificate, TlsRoutes


def make_sections(
    administration: Administration,
    certificates: Certificates,
    sweeps: Sweeps,
    admission: Admission,
    shown: ShownCertificate | None,
) -> Sections:
    """Return the sections of a broker, which shows that certificate."""
    persister = administration.persister
    hosts = HostRoutes(HostAdministration(persister)).resource()
    inventory = InventoryRoutes(Inventory(persister), Operations(persister)).resource()
    reaper = ReaperRoutes(sweeps).resource()
    documents = DocumentRoutes().resource()
    return Sections(
        {
            b"audit": AuditRoutes(AuditLog(persister)).resource(),
            b"catalog": CatalogRoutes(administration).resource(),
            b"certificates": CertificateLists(certificates).resource(),
            b"conditions": hosts,
            b"credentials": CredentialRoutes(admission).resource(),
            b"hosts": hosts,
            b"instances": inventory,
            b"keys": KeyRoutes(persister).resource(),
            b"openapi-operators.yaml": documents,
            b"openapi.yaml": documents,
            b"operations": inventory,
            b"orphans": reaper,
            b"reaper": reaper,
            b"tls": TlsRoutes(shown).resource(),
        }
    )
