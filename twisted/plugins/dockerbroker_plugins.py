"""The two programs that twistd learns from this package; their code is loaded only when one is started."""

from twisted.application.service import ServiceMaker

broker = ServiceMaker(
    "Cloud Foundry Docker Broker",
    "dockerbroker.broker_tap",
    "Answers the Open Service Broker API and turns Docker images into service instances.",
    "dockerbroker",
)
agent = ServiceMaker(
    "Docker host agent",
    "dockerbroker.agent_tap",
    "Tells the brokers that this Docker host is alive and how it is reached.",
    "dockeragent",
)
