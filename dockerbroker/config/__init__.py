"""The configuration files of both programs, read into frozen values with every complaint at once."""

from dockerbroker.config.agent import AgentConfiguration, BrokerServer, load_agent
from dockerbroker.config.broker import (
    BrokerConfiguration,
    PersisterConfiguration,
    ServicesConfiguration,
    load_broker,
)

__all__ = [
    "AgentConfiguration",
    "BrokerConfiguration",
    "BrokerServer",
    "PersisterConfiguration",
    "ServicesConfiguration",
    "load_agent",
    "load_broker",
]
