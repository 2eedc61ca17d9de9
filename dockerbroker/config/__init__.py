"""The configuration files of both programs, read into frozen values with every complaint at once."""

from dockerbroker.config.agent import AgentConfiguration, BrokerServer, load_agent
from dockerbroker.config.broker import (
    BrokerConfiguration,
    ServicesConfiguration,
    load_broker,
)
from dockerbroker.config.images import LoadedImages, load_images
from dockerbroker.config.listening import ListeningConfiguration, TlsConfiguration
from dockerbroker.config.persister import (
    PersisterConfiguration,
    ServerConfiguration,
    SqliteConfiguration,
    Tls,
)

__all__ = [
    "AgentConfiguration",
    "BrokerConfiguration",
    "BrokerServer",
    "ListeningConfiguration",
    "LoadedImages",
    "PersisterConfiguration",
    "ServerConfiguration",
    "ServicesConfiguration",
    "SqliteConfiguration",
    "Tls",
    "TlsConfiguration",
    "load_agent",
    "load_broker",
    "load_images",
]
