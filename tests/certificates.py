"""Certificates that sign themselves, for doors with TLS."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from ccm_orchestrator.security.doors import TlsFiles


def write_certificate(directory: Path, name: str = "door", pass_phrase: bytes | None = None) -> TlsFiles:
    """For 127.0.0.1 and `door.test`."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName("door.test"), x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    files = TlsFiles(directory / f"{name}.pem", directory / f"{name}-key.pem")
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    locking: KeySerializationEncryption = BestAvailableEncryption(pass_phrase) if pass_phrase else NoEncryption()
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locking))
    files.key.chmod(0o600)
    return files
