"""With what a system proves who it is, and the sentence for whatever cannot work."""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ccm_orchestrator.adapters.supabase.credentials import LOOK_INTERVAL_S, TOKEN_S, Credentials, Proofs, subject_of
from ccm_orchestrator.adapters.supabase.keys import KeyKind, Signer, key_signer, shared_signer
from ccm_orchestrator.errors import InvalidSettings
from ccm_orchestrator.security.secrets import Secret
from tests.unit.supabase.answering import SIGNING

URL = "https://project.supabase.co"
NOW = 1_800_000_000.0


@dataclass
class Wall:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def token(secret: str = SIGNING, **claims: object) -> Secret:
    return Secret(jwt.encode(claims, secret, algorithm="HS256"))


PUBLISHABLE = Secret("sb_publishable_canary")
SECRET = Secret("sb_secret_canary")
ANON = token(role="anon", ref="project")
SERVICE = token(role="service_role", ref="project")
RIGHT = token(role="authenticated", system_id="here", exp=NOW + 100)


def credentials(key: Secret = PUBLISHABLE, wall: Wall | None = None, **more: Any) -> Credentials:
    return Credentials(URL, "here", key, wall=wall or Wall(), **more)


def minting(wall: Wall | None = None, signer: Signer | None = None) -> Credentials:
    return credentials(wall=wall, signer=signer or shared_signer(Secret(SIGNING)))


def claims(minted: Secret | None, key: Any = SIGNING, algorithm: str = "HS256") -> dict[str, Any]:
    assert minted is not None
    options: Any = {"verify_exp": False, "verify_iat": False}
    return jwt.decode(minted.reveal(), key, algorithms=[algorithm], audience="authenticated", options=options)


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "kind"),
        [
            (PUBLISHABLE, KeyKind.PUBLISHABLE),
            (ANON, KeyKind.PUBLISHABLE),
            (SECRET, KeyKind.SECRET),
            (SERVICE, KeyKind.SERVICE),
            (RIGHT, KeyKind.TOKEN),
            (token(), KeyKind.TOKEN),
            (Secret("something"), KeyKind.UNKNOWN),
        ],
    )
    def test_both_generations_of_keys_are_told_apart(self, key: Secret, kind: KeyKind) -> None:
        assert credentials(key).kind is kind

    @pytest.mark.parametrize(
        ("key", "more", "bearer"),
        [
            (PUBLISHABLE, {"token": RIGHT}, RIGHT),
            (ANON, {"token": RIGHT}, RIGHT),
            (SECRET, {"token": RIGHT}, RIGHT),
            (SECRET, {}, SECRET),
            (SERVICE, {}, SERVICE),
        ],
    )
    def test_the_headers_hold_the_key_and_the_best_proof(
        self, key: Secret, more: dict[str, Any], bearer: Secret
    ) -> None:
        headers = credentials(key, **more).headers()
        assert headers == {"apikey": key.reveal(), "Authorization": f"Bearer {bearer.reveal()}"}

    def test_realtime_gets_no_token_that_is_none(self) -> None:
        assert credentials(SECRET).bearer() is None
        assert credentials(SERVICE).bearer() is SERVICE

    def test_nothing_prints_a_secret(self) -> None:
        signer = shared_signer(Secret(SIGNING))
        shown = repr([credentials(SECRET, token=RIGHT), vars(credentials(SECRET, token=RIGHT)), signer])
        assert "canary" not in shown and SIGNING not in shown and RIGHT.reveal() not in shown


class TestMinting:
    def test_a_token_says_who_this_system_is_for_an_hour(self) -> None:
        said = claims(minting().bearer())
        assert said == {
            "role": "authenticated",
            "aud": "authenticated",
            "iss": f"{URL}/auth/v1",
            "sub": subject_of("here"),
            "system_id": "here",
            "iat": NOW,
            "exp": NOW + TOKEN_S,
        }
        assert uuid.UUID(said["sub"]) != uuid.UUID(subject_of("there"))

    def test_a_token_is_kept_for_half_its_time_and_then_replaced(self) -> None:
        wall = Wall()
        known = minting(wall)
        first = known.bearer()
        wall.now += TOKEN_S / 2 - 1
        assert known.bearer() is first
        wall.now += 1
        assert claims(known.bearer())["exp"] == wall.now + TOKEN_S

    def test_after_a_suspend_the_first_look_makes_a_new_one(self) -> None:
        wall = Wall()
        known = minting(wall)
        known.bearer()
        wall.now += 86_400
        assert claims(known.bearer())["iat"] == wall.now

    def test_a_clock_set_back_makes_a_new_one(self) -> None:
        wall = Wall()
        known = minting(wall)
        known.bearer()
        wall.now -= 7200
        assert claims(known.bearer())["iat"] == wall.now

    @pytest.mark.parametrize("off_s", [-3600, 3600, 86_400])
    def test_with_a_wrong_clock_tokens_are_made_by_the_servers(self, off_s: float) -> None:
        known = minting()
        known.bearer()
        assert known.server_clock(datetime.fromtimestamp(NOW + off_s, UTC)) == off_s
        assert claims(known.bearer())["iat"] == NOW + off_s

    def test_the_whole_seconds_of_the_servers_time_make_no_new_token(self) -> None:
        known = minting()
        first = known.bearer()
        for off_s in (-1, 0, 1, 2):
            known.server_clock(datetime.fromtimestamp(NOW + off_s, UTC))
        assert known.bearer() is first

    def test_a_refused_token_can_be_replaced_when_it_is_our_own(self) -> None:
        known = minting()
        first = known.bearer()
        assert known.renew() and known.bearer() is not first
        assert not credentials(token=RIGHT).renew() and not credentials(SECRET).renew()


class TestSigningKeys:
    @pytest.mark.parametrize("form", ["jwk", "list", "set"])
    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
    def test_a_jwk_signs_with_its_key_id(self, algorithm: str, form: str) -> None:
        private: Any = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa_key()
        kind = jwt.algorithms.ECAlgorithm if algorithm == "ES256" else jwt.algorithms.RSAAlgorithm
        jwk = json.loads(kind.to_jwk(private)) | {"kid": "key-1", "alg": algorithm}
        document: Any = {"jwk": jwk, "list": [jwk], "set": {"keys": [jwk]}}[form]
        minted = minting(signer=key_signer(Secret(json.dumps(document)))).bearer()
        assert minted is not None and jwt.get_unverified_header(minted.reveal())["kid"] == "key-1"
        assert claims(minted, private.public_key(), algorithm)["system_id"] == "here"

    @pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
    def test_a_key_in_pem_signs_with_the_key_id_beside_it(self, algorithm: str) -> None:
        private: Any = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else rsa_key()
        signer = key_signer(Secret(pem(private)), "key-2")
        minted = minting(signer=signer).bearer()
        assert minted is not None and jwt.get_unverified_header(minted.reveal())["kid"] == "key-2"
        assert claims(minted, private.public_key(), algorithm)["system_id"] == "here"

    def test_a_shared_secret_may_come_as_a_jwk(self) -> None:
        jwk = jwt.algorithms.HMACAlgorithm.to_jwk(SIGNING)
        assert claims(minting(signer=key_signer(Secret(jwk))).bearer())["system_id"] == "here"

    @pytest.mark.parametrize(
        ("material", "words"),
        [
            ("", "neither JSON nor PEM"),
            ("canary", "neither JSON nor PEM"),
            ("{}", "no private key"),
            ("7", "no private key"),
            ("-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----", "not a private key in PEM"),
            ('{"kty": "EC", "crv": "P-384", "d": "canary"}', "neither an RSA key nor one of the curve P-256"),
            ('{"kty": "EC", "crv": "P-256", "d": "canary"}', "damaged"),
            ('{"kty": "EC", "crv": "P-256", "d": 5, "x": "?", "y": []}', "damaged"),
        ],
    )
    def test_what_cannot_sign_is_refused_without_being_quoted(self, material: str, words: str) -> None:
        with pytest.raises(InvalidSettings, match=words) as caught:
            key_signer(Secret(material))
        assert "canary" not in caught.value.message and "gen signing-key" in caught.value.message
        assert caught.value.__cause__ is None

    def test_a_public_key_cannot_sign(self) -> None:
        public = jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key())
        with pytest.raises(InvalidSettings, match="no private key"):
            key_signer(Secret(public))

    def test_a_key_of_another_kind_is_refused(self) -> None:
        with pytest.raises(InvalidSettings, match="neither an RSA key"):
            key_signer(Secret(pem(ed25519.Ed25519PrivateKey.generate())), "key-3")

    def test_a_key_without_its_id_is_refused(self) -> None:
        with pytest.raises(InvalidSettings, match=r"names no key id.*signing_key_id"):
            key_signer(Secret(pem(ec.generate_private_key(ec.SECP256R1()))))

    def test_a_shared_secret_that_is_too_short_is_none(self) -> None:
        with pytest.raises(InvalidSettings, match="shorter than 32") as caught:
            shared_signer(Secret("canary"))
        assert "canary" not in caught.value.message


class TestProblems:
    @pytest.mark.parametrize(
        ("key", "more"),
        [
            (SECRET, {}),
            (SERVICE, {}),
            (PUBLISHABLE, {"token": RIGHT}),
            (PUBLISHABLE, {"token": SERVICE}),
            (ANON, {"signer": shared_signer(Secret(SIGNING))}),
            (Secret("a-key-of-ones-own-gateway"), {"token": RIGHT}),
        ],
    )
    def test_what_may_be_right_has_none(self, key: Secret, more: dict[str, Any]) -> None:
        assert credentials(key, **more).problem() is None

    @pytest.mark.parametrize(
        ("key", "more", "words"),
        [
            (PUBLISHABLE, {}, "publishable key, with which nobody may claim"),
            (ANON, {}, "publishable key, with which nobody may claim"),
            (RIGHT, {}, "token of a user and no API key"),
            (RIGHT, {"token": RIGHT}, "token of a user and no API key"),
            (Secret("canary"), {}, "no key of a Supabase project"),
            (Secret("sb_secret_canary\n"), {}, "characters that no key has"),
            (Secret("sb_secret_cänary"), {}, "characters that no key has"),
            (Secret("sb_secret_canary x"), {}, "characters that no key has"),
            (Secret(""), {}, "characters that no key has"),
            (token(role="anon", ref="other"), {"token": RIGHT}, "of the project 'other'"),
            (PUBLISHABLE, {"token": Secret("canary")}, "is not a JWT"),
            (PUBLISHABLE, {"token": Secret("sb_secret_canary")}, "is not a JWT"),
            (PUBLISHABLE, {"token": Secret(RIGHT.reveal() + "\n")}, "is not a JWT"),
            (PUBLISHABLE, {"token": ANON}, "has the role 'anon'"),
            (PUBLISHABLE, {"token": token(role="authenticated", system_id="there")}, "of the system 'there'"),
            (PUBLISHABLE, {"token": token(role="authenticated")}, "of the system None"),
        ],
    )
    def test_what_cannot_work_is_one_sentence(self, key: Secret, more: dict[str, Any], words: str) -> None:
        problem = credentials(key, **more).problem()
        assert problem is not None and words in problem and problem.endswith(".")
        assert "canary" not in problem and "\n" not in problem

    def test_a_given_token_whose_time_is_over_is_told_with_the_time(self) -> None:
        wall = Wall()
        known = credentials(token=RIGHT, wall=wall)
        assert known.expired() is None
        wall.now += 101
        expired = known.expired()
        assert expired is not None and "`supabase.system_token` expired at 2027-01-15T08:01:40+00:00" in expired

    def test_the_servers_clock_decides_whether_a_token_is_over(self) -> None:
        known = credentials(token=RIGHT, wall=Wall(NOW + 3600))
        known.server_clock(datetime.fromtimestamp(NOW, UTC))
        assert known.expired() is None

    def test_a_key_expires_too_and_our_own_tokens_never_do(self) -> None:
        assert credentials(token(role="service_role", exp=NOW - 1)).expired() is not None
        assert credentials(SECRET).expired() is None
        assert minting(Wall(NOW)).expired() is None


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(private: Any) -> str:
    return str(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@dataclass
class Files:
    """What lies there now."""

    held: Proofs
    reads: int = 0
    broken: bool = False

    def __call__(self) -> Proofs:
        self.reads += 1
        if self.broken:
            raise InvalidSettings("The secret file is empty.")
        return self.held


def kept_in(files: Files, wall: Wall) -> Credentials:
    held = files.held
    return Credentials(
        URL, "here", held.key, held.token, held.signer, wall, read_again=files, signed_with=held.signed_with
    )


def test_a_key_that_was_replaced_in_its_file_is_taken_up_after_a_refusal() -> None:
    files, wall = Files(Proofs(SECRET)), Wall()
    credentials = kept_in(files, wall)
    assert not credentials.renew()
    wall.now += 10
    files.held = Proofs(Secret("sb_secret_new"))
    assert credentials.renew()
    assert credentials.headers()["apikey"] == "sb_secret_new"
    wall.now += 10
    assert not credentials.renew()


def test_a_secret_to_sign_with_is_no_news_until_it_is_another_one() -> None:
    files, wall = Files(Proofs(PUBLISHABLE, None, shared_signer(Secret(SIGNING)), Secret(SIGNING))), Wall()
    credentials = kept_in(files, wall)
    before = credentials.headers()
    assert not credentials.look_again() and credentials.headers() == before
    wall.now += 10
    other = "another-secret-of-the-project-0123456789"
    files.held = Proofs(PUBLISHABLE, None, shared_signer(Secret(other)), Secret(other))
    assert credentials.look_again() and credentials.headers() != before


def test_a_token_that_ran_out_is_replaced_before_anybody_refuses_it() -> None:
    files, wall = Files(Proofs(PUBLISHABLE, RIGHT)), Wall()
    credentials = kept_in(files, wall)
    later = token(role="authenticated", system_id="here", exp=NOW + 1000)
    files.held = Proofs(PUBLISHABLE, later)
    assert credentials.bearer() == RIGHT and files.reads == 0
    wall.now += 200
    assert credentials.bearer() == later and credentials.expired() is None


def test_files_are_looked_at_no_more_often_than_every_few_seconds_and_half_written_ones_change_nothing() -> None:
    files, wall = Files(Proofs(SECRET), broken=True), Wall()
    credentials = kept_in(files, wall)
    for _ in range(20):
        assert not credentials.renew()
    assert files.reads == 1
    wall.now += LOOK_INTERVAL_S
    assert not credentials.renew() and files.reads == 2
    assert credentials.headers()["apikey"] == SECRET.reveal()


def test_a_mistake_that_was_mended_in_the_file_is_none_any_more() -> None:
    files, wall = Files(Proofs(PUBLISHABLE)), Wall()
    credentials = kept_in(files, wall)
    assert credentials.problem() is not None
    wall.now += 10
    files.held = Proofs(PUBLISHABLE, RIGHT)
    assert credentials.problem() is None
