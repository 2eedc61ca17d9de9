"""The agent's configuration file: what it means, and what is said of wrong ones."""

from dockerbroker.config import load_agent
from dockerbroker.model.hosts import DockerHost, HostKey
from tests.configurations import ConfigurationCase, agent_document

#: What an operator of the original has.
ORIGINAL_AGENT = """{
  "serviceagent": {
    "servicehost": "192.168.1.1", "dockerhost": "192.168.1.2", "dockerport": "4243", "isactive": true,
    "keepalive": 10, "ExecCommand": "DockerCommandExec", "ExecArgs": "boot2docker,ssh,sudo,",
    "perffactor": 1.22, "portbind_min": 49153, "portbind_max": 65535
  },
  "brokerservers": [
    {"host": "192.168.1.1", "port": "9998", "user": "admin", "password": "admin"},
    {"host": "192.168.1.9", "port": 9998, "user": "admin", "password": "admin"}
  ]
}"""


class AgentTests(ConfigurationCase):
    """The agent's file."""

    def test_original(self) -> None:
        """A file of the original loads unchanged; the empty words at the end of ExecArgs are dropped."""
        path = self.folder / "agent.config"
        path.write_text(ORIGINAL_AGENT, encoding="utf-8")
        path.chmod(0o600)
        configuration = load_agent(path)
        self.assertEqual(
            configuration.host,
            DockerHost(
                key=HostKey(service_host="192.168.1.1", docker_host="192.168.1.2", docker_port=4243),
                is_active=True,
                perf_factor=1.22,
                keep_alive=10.0,
                exec_command="DockerCommandExec",
                exec_arguments=("boot2docker", "ssh", "sudo"),
                portbind_min=49153,
                portbind_max=65535,
            ),
        )
        self.assertEqual(
            [broker.url for broker in configuration.brokers],
            ["http://192.168.1.1:9998/ping", "http://192.168.1.9:9998/ping"],
        )
        self.assertEqual(configuration.brokers[0].password.reveal(), "admin")
        for broker, warning in zip(configuration.brokers, configuration.warnings, strict=True):
            self.assertIn(f"the password goes to {broker.name} over plain HTTP", warning)

    def test_unix_socket(self) -> None:
        """A Docker host may be a socket's path; then there is no port."""
        document = agent_document()
        document["serviceagent"] = {"servicehost": "10.0.0.1", "dockerhost": "unix:///var/run/docker.sock"}
        key = self.agent(document).host.key
        self.assertEqual((key.docker_host, key.docker_port), ("unix:///var/run/docker.sock", 0))

    def test_defaults(self) -> None:
        """Without a word about it each broker is pinged, and Docker is looked at."""
        configuration = self.agent(agent_document())
        self.assertEqual((configuration.pings_any, configuration.watches_docker), (False, True))
        self.assertEqual(configuration.host.labels, {})

    def test_ours(self) -> None:
        """Members that the original does not have are read from beside the others."""
        document = agent_document()
        document["serviceagent"] |= {"PingBrokers": "any", "WatchDocker": False, "Labels": {"Disk": "ssd"}}
        document["brokerservers"][0]["host"] = "127.0.0.1"
        configuration = self.agent(document)
        self.assertEqual((configuration.pings_any, configuration.watches_docker), (True, False))
        self.assertEqual(configuration.host.labels, {"Disk": "ssd"})
        self.assertEqual(configuration.warnings, ())
        document["serviceagent"] |= {"PingBrokers": "all", "WatchDocker": "no", "Labels": ["ssd"]}
        said = self.agent_complaints(document)
        for complaint in ("pingbrokers: must be each or any", "watchdocker: must be", "labels: must be"):
            self.assertIn(f"serviceagent.{complaint}", said)

    def test_address_of_certificates(self) -> None:
        """Certificates are sent to an address that names the Docker host."""
        (broker,) = self.agent(agent_document()).brokers
        self.assertEqual(broker.certificate_url("10.0.0.2"), "http://10.0.0.3:9998/certificate/10.0.0.2")
        self.assertEqual(broker.certificate_url("::1"), "http://10.0.0.3:9998/certificate/%3A%3A1")

    def test_ipv6_broker(self) -> None:
        """An IPv6 address of a broker is put into brackets in its URL."""
        document = agent_document()
        document["brokerservers"][0]["host"] = "::1"
        self.assertEqual(self.agent(document).brokers[0].url, "http://[::1]:9998/ping")

    def test_every_complaint_at_once(self) -> None:
        """One error holds every complaint, each with the path of its key."""
        said = self.agent_complaints(
            {
                "serviceagent": {"dockerhost": "10.0.0.2", "keepalive": -1, "portbind_min": 5},
                "brokerservers": [{"host": "http://broker/", "port": 0}, [], {"port": []}],
            }
        )
        for complaint in (
            "serviceagent.servicehost: is missing or empty",
            "serviceagent.dockerport: is missing",
            "serviceagent.keepalive: must be a number",
            "serviceagent.portbind_min: must be from 1 to portbind_max",
            "brokerservers[0].host: must be a name or an address",
            "brokerservers[0].port: must be a whole number from 1 to 65535",
            "brokerservers[0].user: is missing or empty",
            "brokerservers[0].password: is missing or empty",
            "brokerservers[1]: must be an object",
            "brokerservers[2].host: is missing or empty",
            "brokerservers[2].port: must be a whole number",
        ):
            self.assertIn(complaint, said)

    def test_no_broker(self) -> None:
        """An agent without a broker to tell has nothing to do, which is a complaint."""
        document = agent_document() | {"brokerservers": []}
        self.assertIn("brokerservers: must name at least one broker", self.agent_complaints(document))

    def test_missing_port(self) -> None:
        """A broker's port has no default."""
        document = agent_document()
        del document["brokerservers"][0]["port"]
        self.assertIn("brokerservers[0].port: is missing or empty", self.agent_complaints(document))
