"""Vault keys and recovery codes: the strength rule, generation, and what goes to the server."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.errors import InkboxError, InkboxVaultKeyError
from inkbox_async.vault import (
    VaultKeyMaterial,
    VaultKeyType,
    generate_org_encryption_key,
    generate_recovery_code,
    generate_vault_key_material,
)
from inkbox_async.vault.crypto import derive_master_key, derive_salt, unwrap_org_key
from inkbox_async.vault.keys import (
    RECOVERY_CODE_ALPHABET,
    RECOVERY_CODE_COUNT,
    canonical_recovery_code,
    random_recovery_code,
    validate_vault_key,
)

from .test_crypto import force_nonce
from .vectors import Case, case_id, cases, value

ORGANIZATION = "org_2wXyZ0123456789abcdefABCDEF"
KEY = "my-Vault-key-01!"

MESSAGE_OF_RULE = {
    "too_short": "at least 16 characters",
    "no_uppercase": "an upper-case letter",
    "no_lowercase": "a lower-case letter",
    "no_digit": "a digit",
    "no_special": "neither an ASCII letter nor a digit",
}


@pytest.mark.parametrize("case", cases("vault_key_validation"), ids=lambda case: repr(case["vault_key"]))
def test_strength_of_a_new_key(case: Case) -> None:
    if case["valid"]:
        validate_vault_key(case["vault_key"])
        return
    with pytest.raises(InkboxVaultKeyError, match=MESSAGE_OF_RULE[case["first_failed_rule"]]) as caught:
        validate_vault_key(case["vault_key"])
    assert isinstance(caught.value, InkboxError)
    assert not isinstance(caught.value, ValueError)
    assert not case["vault_key"] or case["vault_key"] not in str(caught.value)


async def test_a_weak_key_makes_no_material() -> None:
    with pytest.raises(InkboxVaultKeyError):
        await generate_vault_key_material("weak", ORGANIZATION, generate_org_encryption_key())
    with pytest.raises(TypeError, match="vault key is text"):
        await generate_vault_key_material(b"my-Vault-key-01!", ORGANIZATION, bytes(32))  # type: ignore[arg-type]


@pytest.mark.parametrize("case", cases("key_material"), ids=case_id)
async def test_key_material(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    org_key = bytes.fromhex(case["org_encryption_key_hex"])
    monkeypatch.setattr("inkbox_async.vault.keys.uuid4", lambda: UUID(case["key_id"]))
    force_nonce(monkeypatch, case["nonce_hex_input"])
    if "vault_key" in case:
        material = await generate_vault_key_material(
            case["vault_key"], case["organization_id"], org_key, key_type=case["wire"]["key_type"]
        )
    else:
        picks = iter(case["alphabet_indices"])
        monkeypatch.setattr("inkbox_async.vault.keys.secrets.choice", lambda alphabet: alphabet[next(picks)])
        code, material = await generate_recovery_code(case["organization_id"], org_key)
        assert code == case["recovery_code"]
    assert material.to_wire() == case["wire"]
    assert list(material.to_wire()) == list(case["wire"])


async def test_the_default_is_a_primary_key_that_opens_with_its_text() -> None:
    org_key = generate_org_encryption_key()
    material = await generate_vault_key_material(KEY, ORGANIZATION, org_key)
    assert material.key_type is VaultKeyType.PRIMARY
    master_key = derive_master_key(KEY, derive_salt(ORGANIZATION))
    assert unwrap_org_key(master_key, material.wrapped_org_encryption_key, str(material.id)) == org_key


def test_material_shows_no_verifier() -> None:
    material = VaultKeyMaterial(
        UUID("35f0b340-1913-44ac-923e-86e8eda6f2f0"), "d3JhcA==", "ab" * 32, VaultKeyType.PRIMARY
    )
    assert "abab" not in repr(material)
    assert "35f0b340" in repr(material)


def test_recovery_codes() -> None:
    expected = value("constants")["recovery_code"]
    assert expected["alphabet"] == RECOVERY_CODE_ALPHABET
    assert expected["count_at_initialize"] == RECOVERY_CODE_COUNT
    codes = {random_recovery_code() for _ in range(50)}
    assert len(codes) == 50
    for code in codes:
        assert len(code) == expected["total_length"]
        groups = code.split(expected["separator"])
        assert [len(group) for group in groups] == [expected["group_len"]] * expected["groups"]
        assert set("".join(groups)) <= set(expected["alphabet"])


@given(data=st.data())
def test_a_recovery_code_is_recognised_however_it_is_typed(data: st.DataObject) -> None:
    symbols = data.draw(st.text(RECOVERY_CODE_ALPHABET, min_size=32, max_size=32))
    typed = "".join(
        data.draw(st.sampled_from(["", " ", "-", "\t", "\n"])) + data.draw(st.sampled_from([c, c.lower()]))
        for c in symbols
    )
    canonical = canonical_recovery_code(typed)
    assert canonical == "-".join(symbols[start : start + 4] for start in range(0, 32, 4))
    assert canonical_recovery_code(canonical) == canonical


@pytest.mark.parametrize("text", ["", KEY, "0" * 32, "7K2M-QXWP-H4TD-93VR-BNEC-6YJA-GZ8F-5SU", "é" * 32])
def test_other_text_is_no_recovery_code(text: str) -> None:
    assert canonical_recovery_code(text) is None
