"""One-time codes and `otpauth://` URIs, against the official client's output and the RFCs."""

from __future__ import annotations

import math
import traceback
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.vault.totp import (
    TOTPAlgorithm,
    TOTPCode,
    TOTPConfig,
    decode_base32,
    generate_hotp,
    generate_totp,
    parse_totp_uri,
)

from .vectors import Case, cases

SECRET = "JBSWY3DPEHPK3PXP"


def portable(section: str) -> list[Case]:
    return [case for case in cases(section) if case.get("portable", True)]


@pytest.mark.parametrize("case", cases("hotp"))
def test_counter_based_codes(case: Case) -> None:
    key = decode_base32(case["secret"])
    assert generate_hotp(key, case["counter"], case["algorithm"], 6) == case["code6"]
    assert generate_hotp(key, case["counter"], case["algorithm"], 8) == case["code8"]


@pytest.mark.parametrize("case", cases("totp"))
def test_time_based_codes(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TOTPConfig(case["secret"], case["algorithm"], case["digits"], case["period"])
    expected = TOTPCode(case["code"], case["period_start"], case["period_end"], case["seconds_remaining"])
    assert generate_totp(config, at=case["unix_time"]) == expected
    monkeypatch.setattr("inkbox_async.vault.totp.time.time", lambda: case["unix_time"])
    assert generate_totp(config) == expected
    assert config.generate_code() == expected


@pytest.mark.parametrize("case", portable("base32"), ids=lambda case: repr(case["secret"]))
def test_base32(case: Case) -> None:
    if "hex" in case:
        assert decode_base32(case["secret"]).hex() == case["hex"]
    else:
        with pytest.raises(ValueError, match="not valid base32"):
            decode_base32(case["secret"])
    if case["config_accepts"]:
        assert TOTPConfig(case["secret"]).secret == case["secret"]
    else:
        with pytest.raises(ValueError, match="TOTP secret"):
            TOTPConfig(case["secret"])


@pytest.mark.parametrize("case", portable("totp_config"), ids=lambda case: str(case["kwargs"]))
def test_configurations(case: Case) -> None:
    if case["ok"]:
        config = TOTPConfig(**case["kwargs"])
        assert config.to_wire() == case["wire"]
        assert TOTPConfig.from_wire(case["wire"]) == config
    else:
        with pytest.raises(ValueError, match="TOTP"):
            TOTPConfig(**case["kwargs"])


MESSAGE_OF_KIND = {
    "scheme": "not an otpauth:// URI",
    "otp_type": "not of type totp",
    "hotp_rejected": "hotp",
    "missing_secret": "no secret parameter",
    "base32": "not valid base32",
    "algorithm": "algorithm must be",
    "digits": "digits must be",
    "period": "period must be",
}


@pytest.mark.parametrize("case", portable("otpauth_uri"), ids=lambda case: case["uri"])
def test_uris(case: Case) -> None:
    if case["ok"]:
        expected = case["config"]
        assert parse_totp_uri(case["uri"]) == TOTPConfig(
            secret=expected["secret"],
            algorithm=TOTPAlgorithm(expected["algorithm"]),
            digits=expected["digits"],
            period=expected["period"],
            issuer=expected["issuer"],
            account_name=expected["account_name"],
        )
    else:
        with pytest.raises(ValueError, match=MESSAGE_OF_KIND[case["kind"]]):
            parse_totp_uri(case["uri"])


@pytest.mark.parametrize("uri", ["otpauth://[", "otpauth://totp:80/x?secret=" + SECRET])
def test_broken_uris(uri: str) -> None:
    with pytest.raises(ValueError, match="otpauth"):
        parse_totp_uri(uri)


def test_only_text_is_a_uri() -> None:
    with pytest.raises(TypeError, match="text, not NoneType"):
        parse_totp_uri(None)  # type: ignore[arg-type]


@given(text=st.text(max_size=40))
def test_any_text_is_a_configuration_or_a_value_error(text: str) -> None:
    for uri in (text, f"otpauth://totp/{text}?secret={SECRET}", f"otpauth://totp/a?secret={SECRET}&{text}"):
        with suppress(ValueError):
            assert isinstance(parse_totp_uri(uri), TOTPConfig)


@given(
    key=st.binary(min_size=1, max_size=64),
    algorithm=st.sampled_from(TOTPAlgorithm),
    digits=st.sampled_from([6, 8]),
    period=st.sampled_from([30, 60]),
    at=st.floats(0, 2**40),
)
def test_codes_have_the_right_shape(
    key: bytes, algorithm: TOTPAlgorithm, digits: int, period: int, at: float
) -> None:
    from base64 import b32encode

    config = TOTPConfig(b32encode(key).decode(), algorithm, digits, period)
    code = generate_totp(config, at=at)
    assert len(code.code) == digits
    assert code.code.isdecimal()
    assert code.period_end - code.period_start == period
    assert code.period_start <= int(at) < code.period_end
    assert code.seconds_remaining == code.period_end - int(at)


@pytest.mark.parametrize("at", [-1, -0.5, 2.0**63, math.inf, -math.inf, math.nan])
def test_there_is_no_code_for_what_is_no_time(at: float) -> None:
    with pytest.raises(ValueError, match="Unix time"):
        generate_totp(TOTPConfig(SECRET), at=at)


def test_neither_seed_nor_code_is_shown() -> None:
    config = TOTPConfig(SECRET, issuer="Example", account_name="ada@example.com")
    code = generate_totp(config, at=1700000000)
    for shown in (repr(config), str(config), f"{config}", repr(code), str(code)):
        assert SECRET not in shown
        assert "ada" not in shown
        assert "324550" not in shown
    assert "sha1" in repr(config)
    assert "1700000010" in repr(code)


@pytest.mark.parametrize("bad", ["hunter2!", "hünter2", "HUNTER1"])
def test_a_bad_seed_is_not_carried_by_the_error(bad: str) -> None:
    for attempt in (
        lambda: TOTPConfig(bad),
        lambda: parse_totp_uri(f"otpauth://totp/x?secret={bad}"),
        lambda: decode_base32(bad),
    ):
        with pytest.raises(ValueError, match="base32") as caught:
            attempt()
        assert caught.value.__context__ is None, "the decoder's error carries the seed"
        assert bad.upper() not in str(caught.value).upper()
        assert caught.value.args == (str(caught.value),)
        assert traceback.format_exception(caught.value)[-1].startswith("ValueError: the TOTP secret")
