"""The configuration files of both programs, read into frozen values with every complaint at once."""

from dockerbroker.config.agent import AgentConfiguration, BrokerServer, load_agent
from dockerbroker.config.broker import (
    BrokerConfiguration,
    PersisterConfiguration,
    ServicesConfiguration,
    load_broker,
)
from dockerbroker.config.images import LoadedImages, load_images

__all__ = [
    "AgentConfiguration",
    "BrokerConfiguration",
    "BrokerServer",
    "LoadedImages",
    "PersisterConfiguration",
    "ServicesConfiguration",
    "load_agent",
    "load_broker",
    "load_images",
]
