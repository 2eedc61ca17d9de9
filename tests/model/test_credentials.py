"""How passwords are hashed, told and compared (S24, S26)."""

from __future__ import annotations

from hashlib import sha256

from attrs import evolve
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.errors import InvalidRequest
from dockerbroker.model.credentials import (
    Candidate,
    Candidates,
    Cost,
    Credential,
    Login,
    PasswordHash,
    Salt,
    check_login,
    decode_login,
    encode_credential,
    recognized,
    salt_for,
)
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret
from tests.credentials import CHEAP, credential
from tests.model.values import unhurried


def candidates(*credentials: Credential) -> Candidates:
    """Return those who may be let in."""
    return Candidates.of([Candidate.of(one) for one in credentials], lambda: Salt.new(CHEAP))


def other(one: Credential, password: str) -> Credential:
    """Return a credential of the same user with a salt of its own."""
    hashed = PasswordHash.of(password.encode(), Salt(value=password.encode(), cost=CHEAP))
    return evolve(one, id=password, hash=Secret(hashed.encode()))


class HashTests(SynchronousTestCase):
    """The hash of a password."""

    def test_scrypt(self) -> None:
        """S26: it is scrypt, as expensive as it should be, with a salt of its own, and tells all that."""
        self.assertEqual(Cost(), Cost(n=16384, r=8, p=5))
        one, two = Salt.new(Cost()), Salt.new(Cost())
        self.assertNotEqual(one.value, two.value)
        hashed = PasswordHash.of(b"pass:word", one)
        self.assertTrue(hashed.encode().startswith("scrypt$16384$8$5$"))
        self.assertNotIn("pass", hashed.encode())
        self.assertEqual(PasswordHash.decode(hashed.encode()), hashed)
        self.assertEqual((len(one.value), len(hashed.digest)), (16, 32))

    def test_known_answer(self) -> None:
        """It is the scrypt of RFC 7914, of the SHA-256 of the password."""
        salt = Salt(value=b"NaCl", cost=Cost(n=1024, r=8, p=16))
        inner = sha256(b"password").digest()
        expected = Scrypt(salt=b"NaCl", length=32, n=1024, r=8, p=16).derive(inner)
        self.assertEqual(salt.digest(b"password"), expected)

    def test_unreadable(self) -> None:
        """What is no hash is a `ValueError`."""
        for text in ("", "md5$x", "bcrypt$1$1$1$YQ==$YQ==", "scrypt$x$1$1$YQ==$YQ==", "scrypt$2$1$1$!$YQ=="):
            self.assertRaises(ValueError, PasswordHash.decode, text)

    def test_hidden(self) -> None:
        """Neither a credential nor a login shows what is secret of it."""
        one = credential(Role.AGENT, "u", "t0p-secret")
        self.assertNotIn(one.hash.reveal(), repr(one))
        self.assertNotIn("t0p", repr(Login(role=Role.AGENT, user="u", password=Secret("t0p-secret"))))


class MatchTests(SynchronousTestCase):
    """Comparing."""

    def setUp(self) -> None:
        """Have some credentials, two of them of one user."""
        self.one = credential(Role.PLATFORM, "cf", "one")
        self.two = other(self.one, "two")
        self.third = credential(Role.PLATFORM, "other", "three", name="third")
        self.candidates = candidates(self.one, self.two, self.third)

    def match(self, user: str, password: str) -> Credential | None:
        """Return which credential that is."""
        return self.candidates.match(user.encode(), password.encode())

    def test_right(self) -> None:
        """Each user has all passwords that are stored for it, and no others."""
        self.assertEqual(self.match("cf", "one"), self.one)
        self.assertEqual(self.match("cf", "two"), self.two)
        self.assertEqual(self.match("other", "three"), self.third)
        for user, password in (
            ("cf", "three"),
            ("other", "one"),
            ("nobody", "one"),
            ("", ""),
            ("cf", "one "),
        ):
            self.assertIsNone(self.match(user, password), (user, password))

    def test_same_cost(self) -> None:
        """S24: it takes as many hashes for an unknown user as for any other one."""
        hashed: list[Salt] = []

        class Watched(Salt):
            def digest(self, password: bytes) -> bytes:
                hashed.append(self)
                return super().digest(password)

        def watched(one: Candidate) -> Candidate:
            salt = Watched(value=one.hash.salt.value, cost=CHEAP)
            return evolve(one, hash=evolve(one.hash, salt=salt))

        found = Candidates.of([watched(one) for one in self.candidates.all], lambda: Watched.new(CHEAP))
        for user in ("cf", "other", "nobody", ""):
            hashed.clear()
            found.match(user.encode(), b"wrong")
            self.assertEqual(len(set(hashed)), 2, user)
        self.assertIsNotNone(found.match(b"cf", b"two"))

    def test_nobody(self) -> None:
        """Where nobody is let in, a password is hashed all the same, and no digest of nothing matches."""
        nobody = candidates()
        self.assertEqual(len(nobody.decoys), 1)
        self.assertIsNone(nobody.match(b"a", b"b"))
        empty = evolve(self.one, hash=Secret(PasswordHash(salt=Salt.new(CHEAP), digest=bytes(32)).encode()))
        self.assertIsNone(candidates(empty, self.third).match(b"other", b"x"))

    @unhurried
    @given(st.text(max_size=9), st.text(max_size=9))
    def test_any(self, user: str, password: str) -> None:
        """Whatever comes, only what is stored is found."""
        expected = {("cf", "one"): self.one, ("cf", "two"): self.two, ("other", "three"): self.third}
        self.assertEqual(self.match(user, password), expected.get((user, password)))

    def test_salts(self) -> None:
        """Another password of a user gets the salt of the others, of another user or cost a new one."""
        login = Login(role=Role.PLATFORM, user="cf", password=Secret("new"))
        known = [self.one, self.third]
        self.assertEqual(salt_for(known, login, CHEAP), self.one.password_hash.salt)
        unreadable = evolve(self.one, hash=Secret("none"))
        self.assertEqual(salt_for([unreadable, *known], login, CHEAP), self.one.password_hash.salt)
        for changed in (evolve(login, user="new"), evolve(login, role=Role.AGENT)):
            self.assertNotEqual(salt_for(known, changed, CHEAP), self.one.password_hash.salt)
        self.assertEqual(salt_for(known, login, Cost(n=4, r=1, p=1)).cost, Cost(n=4, r=1, p=1))

    def test_recognized(self) -> None:
        """It is found out which logins of a configuration are stored, each in its role."""
        known = [self.one, self.two, self.third]
        logins = [
            Login(role=role, user="cf", password=Secret(password))
            for role in (Role.PLATFORM, Role.AGENT)
            for password in ("two", "x")
        ]
        self.assertEqual(recognized(known, logins), [self.two, None, None, None])


class LoginTests(SynchronousTestCase):
    """What may be a user name and a password."""

    def test_wrong(self) -> None:
        """Each complaint names what is wrong, and quotes no password."""
        good = Login(role=Role.AGENT, user="u", password=Secret("long enough"), host="h")
        check_login(good)
        check_login(evolve(good, user="\u00fc b", password=Secret("x" * 8192), host=""))
        for member, changes in {
            "user": {"user": ""},
            "user: a:b": {"user": "a:b"},
            "user: 'a\\n'": {"user": "a\n"},
            "user: must have": {"user": "x" * 256},
            "password: must": {"password": Secret("s3cret")},
            "password: must be printable": {"password": Secret("long enough\n")},
            "password: must be printable, with": {"password": Secret("x" * 8193)},
            "host: only agents": {"role": Role.PLATFORM},
            "host: must": {"host": "h\n"},
        }.items():
            error = self.assertRaises(InvalidRequest, check_login, evolve(good, **changes))  # type: ignore[arg-type]
            self.assertIn(member, error.description)
            self.assertNotIn("s3cret", error.description)

    def test_decoded(self) -> None:
        """A password that is not given is made, each time another one of 256 bits."""
        login, is_made = decode_login(
            {"Role": "agent", "User": "u", "Password": "long enough", "ServiceHost": "h"}
        )
        self.assertEqual((login.role, login.host, is_made), (Role.AGENT, "h", False))
        made = [decode_login({"role": "platform", "user": "u"}) for _ in range(2)]
        self.assertEqual([is_made for _, is_made in made], [True, True])
        passwords = {one.password.reveal() for one, _ in made}
        self.assertEqual([len(one) for one in passwords], [43, 43])
        for wrong in ({}, {"Role": "root", "User": "u"}, {"Role": "agent", "User": 7}, {"Role": "agent"}):
            self.assertRaises(InvalidRequest, decode_login, wrong)

    def test_told(self) -> None:
        """S56: of a credential its id, role, user, host and date are told, and nothing of its password."""
        one = credential(Role.AGENT, "u", "p", host="h")
        told = encode_credential(one)
        self.assertEqual(set(told), {"ID", "Role", "User", "CreatedAt", "ServiceHost"})
        self.assertEqual(told["CreatedAt"], "1970-01-01T00:00:00Z")
        self.assertNotIn("ServiceHost", encode_credential(evolve(one, host="")))
