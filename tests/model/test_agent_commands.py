"""Which commands agents may have run on the broker's machine."""

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import Forbidden
from dockerbroker.model.agent_commands import AllowedCommands, read_commands
from dockerbroker.model.hosts import DOCKER_COMMAND_EXEC, DockerHost, HostKey, split_arguments


def asking(words: str, command: str = DOCKER_COMMAND_EXEC) -> DockerHost:
    """Return a host whose agent asks for that."""
    key = HostKey(service_host="h", docker_host="h", docker_port=1)
    return DockerHost(key=key, exec_command=command, exec_arguments=split_arguments(words))


class AllowedTests(SynchronousTestCase):
    """What is allowed."""

    def test_default(self) -> None:
        """Without a word of the operator no word of an agent reaches a command line of the broker."""
        allowed = AllowedCommands()
        allowed.check(asking(""))
        allowed.check(asking("sh,-c,anything", ""))
        allowed.check(asking("sh,-c,anything", "DockerApiExec"))
        for words in ("sh", "env,", "ssh,root@docker1,sudo"):
            error = self.assertRaises(Forbidden, allowed.check, asking(words))
            self.assertIn("execcommands", error.description)
            self.assertTrue(error.description.isprintable())

    def test_whole(self) -> None:
        """What is allowed is allowed word for word: neither less, nor more, nor other words."""
        allowed = read_commands(["ssh,root@docker1,sudo,", "boot2docker,ssh"])
        for words in ("ssh,root@docker1,sudo", "ssh,root@docker1,sudo,,", "boot2docker,ssh"):
            allowed.check(asking(words))
        for words in (
            "ssh,root@docker1",
            "ssh,-oProxyCommand=x,root@docker1,sudo",
            "ssh root@docker1 sudo",
            "SSH",
        ):
            self.assertRaises(Forbidden, allowed.check, asking(words))

    def test_hostile(self) -> None:
        """What is refused is shown bounded and on one line."""
        error = self.assertRaises(Forbidden, AllowedCommands().check, asking("a\n" + "x" * 4000))
        self.assertTrue(error.description.isprintable())
        self.assertLess(len(error.description), 400)
