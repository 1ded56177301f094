"""Catalogue of the demo registry: its registries, their artifacts, and the artifacts that stand out."""

from typing import NamedTuple

from exporter.demo.cycles import PREVIEW, WEAKENING

SPACES = ("demo", "demo/platform", "demo/platform/checkout")
"""Scopes of the demo registry: an account, an organization and a project. Each lists only its own registries."""

PREVIEWED = "demo/platform/preview"
"""Project that comes and goes; only discovery finds it."""


class Key(NamedTuple):
    """Identity of one version in the demo.

    Attributes:
        registry: `registryIdentifier`, unique across the spaces.
        name: `name`.
        version: `version`.
    """

    registry: str
    name: str
    version: str


CYCLING = Key("maven-central", "org.apache.commons:commons-text", "1.9")
"""Version in production, in the space `demo`, that is quarantined for a part of each cycle."""


class RegistrySpec(NamedTuple):
    """Registry of the demo."""

    space: str
    name: str
    package_type: str
    registry_type: str
    firewall: str | None
    deployments: bool  # whether the API counts deployments
    artifacts: str  # `name@head{tail,tail}`: versions, oldest first


class State(NamedTuple):
    """Scan status, environments and quarantine reasons of a version."""

    status: str | None
    prod: int = 0
    nonprod: int = 0
    reasons: tuple[str, ...] = ()  # one row each; quarantined if there is any, even an empty one


REGISTRIES = (
    RegistrySpec(
        *("demo", "docker-prod", "DOCKER", "VIRTUAL", None, True),
        """
        storefront@4.{8.0,8.1,9.0,9.2,10.0,11.0} checkout-api@2.{5.0,6.0,6.1,7.0,7.1} search@1.{18.0,18.3,19.0,20.1}
        payments-api@3.{3.0,4.0,4.1,4.2,5.0} inventory@5.{0.4,1.0,1.1,2.0} gateway@2.{30.0,31.2,32.0,32.1}
        recommendations@0.{41.0,42.0,43.1} notifier@1.{7.0,7.1,8.0} identity@6.{2.0,2.4,3.0,3.1}
        invoicing@2.{0.0,1.0,1.3} edge-proxy@1.{29.1,30.0,31.0} loyalty@1.{4.0,4.2,5.0} mailer@3.{0.0,0.1,1.0}
        """,
    ),
    RegistrySpec(
        *("demo", "npm-remote", "NPM", "UPSTREAM", "QUARANTINE", True),
        """
        lodash@4.17.{15,19,20,21} axios@1.{6.0,6.8,7.2,7.4,7.7} express@4.{18.2,19.2,20.0,21.1} react@18.{2.0,3.0,3.1}
        react-dom@18.{2.0,3.0,3.1} next@14.{1.0,2.3,2.10,2.15} minimist@1.2.{5,6,8} event-stream@3.3.{4,6}
        ua-parser-js@0.7.{28,29,33} colors@1.4.{0,44} typescript@5.{2.2,3.3,4.5,5.4,6.3} webpack@5.{89.0,91.0,94.0}
        semver@7.{5.2,5.4,6.3} ws@8.{13.0,16.0,17.1,18.0} @types/node@20.{10.0,12.7,14.2,17.6}
        @babel/core@7.{23.0,24.4,25.2} vite@5.{0.12,2.8,4.10} jsonwebtoken@{8.5.1,9.0.0,9.0.2} chalk@5.{2.0,3.0}
        commander@{11.1.0,12.0.0,12.1.0} zod@3.{22.4,23.4,23.8} eslint@8.{54.0,56.0,57.1} undici@{5.28.3,5.28.4,6.19.8}
        """,
    ),
    RegistrySpec(
        *("demo", "maven-central", "MAVEN", "UPSTREAM", "ENABLED", True),
        """
        org.apache.logging.log4j:log4j-core@2.{14.1,17.1,20.0,23.1} org.apache.commons:commons-text@1.{9,10.0,12.0}
        org.springframework:spring-beans@5.3.{17,18,31,39} org.springframework.boot:spring-boot@3.{1.5,2.4,3.2}
        com.fasterxml.jackson.core:jackson-databind@2.{13.2,14.0,15.3,17.2}
        com.google.guava:guava@{31.1,32.1.3,33.2}-jre org.slf4j:slf4j-api@2.0.{7,9,13,16}
        io.netty:netty-handler@4.1.{94,100,108,114}.Final ch.qos.logback:logback-classic@1.{4.11,4.14,5.6}
        org.hibernate.orm:hibernate-core@6.{2.13,4.4,6.1}.Final org.postgresql:postgresql@42.{5.1,6.0,7.4}
        org.yaml:snakeyaml@{1.33,2.0,2.2} junit:junit@4.{12,13.1,13.2} org.mockito:mockito-core@5.{7.0,11.0,14.1}
        org.apache.kafka:kafka-clients@3.{5.1,6.2,7.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform", "pypi-remote", "PYTHON", "UPSTREAM", "BLOCK", False),
        """
        requests@2.{28.2,31.0,32.2,32.3} PyYAML@{5.3,5.4.1,6.0.1,6.0.2} urllib3@{1.26.18,2.0.7,2.2.2,2.2.3}
        numpy@1.{24.4,25.2,26.4} pandas@2.{0.3,1.4,2.2} django@{4.2.11,4.2.16,5.0.9,5.1.2} flask@{2.3.3,3.0.0,3.0.3}
        cryptography@{41.0.7,42.0.5,43.0.1} pillow@10.{0.1,2.0,4.0} jinja2@3.1.{2,3,4} fastapi@0.{104.1,110.3,115.2}
        sqlalchemy@2.0.{23,29,36} torchtriton@3.0.{0} ctx@0.{1.2,2.6} boto3@1.34.{0,84,162}
        setuptools@{65.5.0,70.3.0,75.2.0} pytest@{7.4.4,8.2.2,8.3.3} pydantic@2.{5.3,7.4,9.2}
        certifi@{2023.7.22,2024.2.2,2024.8.30} scipy@1.{11.4,13.1,14.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform", "go-proxy", "GO", "UPSTREAM", "WARN", True),
        """
        github.com/gin-gonic/gin@v1.{8.2,9.1,10.0} github.com/dgrijalva/jwt-go@v3.{1.0,2.0}
        golang.org/x/net@v0.{17.0,23.0,30.0} golang.org/x/crypto@v0.{16.0,21.0,28.0}
        github.com/spf13/cobra@v1.{7.0,8.0,8.1} google.golang.org/grpc@v1.{58.3,63.2,67.1}
        github.com/stretchr/testify@v1.{8.4,9.0} github.com/prometheus/client_golang@v1.{17.0,19.1,20.5}
        github.com/hashicorp/vault/api@v1.{10.0,14.0} gopkg.in/yaml.v3@v3.0.{0,1} go.uber.org/zap@v1.{25.0,26.0,27.0}
        k8s.io/client-go@v0.{28.4,29.3,31.1} github.com/jackc/pgx/v5@v5.{4.3,5.5,7.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform", "helm-charts", "HELM", "VIRTUAL", None, True),
        """
        storefront@4.{9.2,10.0,11.0} checkout@2.{6.1,7.0,7.1} platform-base@1.{12.0,13.0,13.2}
        ingress-nginx@4.{9.1,10.1,11.3} kube-prometheus-stack@{58.2.2,61.9.0,65.1.1} cert-manager@v1.{13.6,14.5,16.1}
        external-secrets@0.{9.19,10.4} redis@{18.19.4,19.6.4,20.2.0} postgresql@{14.3.3,15.5.38,16.0.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform", "generic-tools", "GENERIC", "VIRTUAL", None, False),
        """
        build-report@{2026.07,2026.08,2026.09} terraform-cli@1.{7.5,8.5,9.8} license-list@{41,42,43}
        ca-bundle@{2026-06,2026-09} release-notes@{4.9,4.10,4.11} sbom-tool@2.{2.7,2.9}
        geoip@{20260801,20260901,20261001}
        """,
    ),
    RegistrySpec(
        *("demo/platform", "terraform-modules", "TERRAFORM", "VIRTUAL", None, False),
        """
        acme/vpc/aws@3.{1.0,2.0,2.1} acme/eks/aws@2.{8.0,9.1} acme/rds/aws@1.{14.0,15.0} acme/dns/google@0.{9.0,10.0}
        acme/labels/null@1.{0.0,1.0}
        """,
    ),
    RegistrySpec(
        *("demo/platform/checkout", "docker-local", "DOCKER", "VIRTUAL", None, True),
        """
        checkout-api@2.{6.1,7.0,7.1,8.0} cart@1.{21.0,22.0,22.3,23.0} tax-engine@0.{15.0,16.0,17.2}
        legacy-worker@1.0.{2,3,4} checkout-e2e@{nightly,latest} fraud-scoring@3.{0.1,1.0,1.2,2.0}
        receipts@2.{2.0,3.0,3.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform/checkout", "nuget-org", "NUGET", "UPSTREAM", "ALLOW", True),
        """
        Newtonsoft.Json@{12.0.3,13.0.1,13.0.3} Serilog@{2.12.0,3.1.1,4.0.2}
        System.Text.Encodings.Web@{4.5.0,6.0.0,8.0.0} Dapper@2.{0.151,1.35} AutoMapper@{11.0.1,12.0.1,13.0.1}
        Polly@{7.2.4,8.3.1,8.4.2} xunit@2.{5.3,7.0,9.2} FluentValidation@11.{8.1,9.2,10.0} MediatR@12.{1.1,2.0,4.1}
        Npgsql@{6.0.10,7.0.7,8.0.5} Microsoft.Extensions.Logging@{6.0.0,7.0.0,8.0.0}
        Swashbuckle.AspNetCore@6.{4.0,5.0,8.1}
        """,
    ),
    RegistrySpec(
        *("demo/platform/checkout", "crates-io", "CARGO", "UPSTREAM", None, False),
        """
        serde@1.0.{190,197,210} tokio@1.{34.0,37.0,40.0} rand@0.8.{4,5} hyper@{0.14.28,1.3.1,1.4.1} rustdecimal@1.23.{1}
        clap@4.{4.18,5.4,5.20} regex@1.{10.2,10.4,11.0} time@0.{2.23,3.34,3.36} openssl@0.10.{60,64,66}
        anyhow@1.0.{75,82,89} reqwest@0.{11.27,12.4,12.8} tracing@0.1.{37,40} log@0.4.{20,21,22} chrono@0.4.{31,35,38}
        """,
    ),
    RegistrySpec(
        *("demo/platform/checkout", "hf-models", "HUGGINGFACE", "VIRTUAL", None, False),
        """
        sentence-transformers/all-MiniLM-L6-v2@v{1.0,2.0} BAAI/bge-small-en@v1.{0,5}
        google-bert/bert-base-uncased@v1.{0,1} mistralai/Mistral-7B-Instruct@v0.{1,2,3}
        acme/fraud-scoring@{2026.03,2026.06,2026.09} openai/whisper-small@v{20231117,20240930} intfloat/e5-base@v{1,2}
        """,
    ),
    RegistrySpec(*("demo/platform/checkout", "swift-packages", "SWIFT", "VIRTUAL", None, False), artifacts=""),
)
"""Registries of `SPACES`; one has no artifacts."""

PREVIEW_REGISTRIES = (
    RegistrySpec(
        *(PREVIEWED, "docker-preview", "DOCKER", "VIRTUAL", None, True),
        "storefront@pr-{412,415,418} checkout-api@pr-{96,97}",
    ),
    RegistrySpec(
        *(PREVIEWED, "npm-preview", "NPM", "UPSTREAM", "QUARANTINE", False),
        "vite@6.0.{0,1,3} svelte@5.{1.0,2.7} rc@1.2.{8,9} nanoid@5.0.{7,8}",
    ),
)
"""Registries of `PREVIEWED`."""

WEAKENED = "pypi-remote"
"""Registry whose firewall is WARN for a part of each cycle, and BLOCK otherwise."""

PUBLIC = "generic-tools"
"""Registry that anyone may read without a key."""

UNTYPED = "swift-packages"
"""Registry whose package type is missing in the listing of registries."""

STATES = {
    ("npm-remote", "lodash", "4.17.20"): State("BLOCKED", 3, 2, ("CVE-2021-23337: command injection in template",)),
    ("npm-remote", "event-stream", "3.3.6"): State("BLOCKED", reasons=("Malicious: flatmap-stream steals wallets",)),
    ("npm-remote", "ua-parser-js", "0.7.29"): State(
        "BLOCKED", reasons=("Malicious: coin miner in preinstall", "Policy: released less than 14 days ago")
    ),
    ("npm-remote", "colors", "1.4.44"): State("BLOCKED", reasons=("",)),
    ("npm-remote", "axios", "1.6.0"): State("WARN", 1, 1),
    ("maven-central", "org.apache.logging.log4j:log4j-core", "2.14.1"): State(
        "BLOCKED", 1, 4, ("CVE-2021-44228: remote code execution (Log4Shell)", "CVE-2021-45046: incomplete fix", "")
    ),
    ("maven-central", "org.springframework:spring-beans", "5.3.17"): State(
        "BLOCKED", 0, 1, ("CVE-2022-22965: remote code execution (Spring4Shell)",)
    ),
    ("pypi-remote", "PyYAML", "5.3"): State("BLOCKED", reasons=("CVE-2020-14343: code execution in full_load",)),
    ("pypi-remote", "torchtriton", "3.0.0"): State("BLOCKED", reasons=("Malicious: dependency confusion",)),
    ("pypi-remote", "ctx", "0.2.6"): State("BLOCKED", reasons=("Malicious: sends environment variables away",)),
    ("pypi-remote", "setuptools", "65.5.0"): State("WARN", reasons=("Policy: licence under review",)),
    ("go-proxy", "github.com/dgrijalva/jwt-go", "v3.2.0"): State("BLOCKED", 2, 2),
    ("go-proxy", "golang.org/x/crypto", "v0.16.0"): State("WARN", 1, 0),
    ("nuget-org", "Newtonsoft.Json", "12.0.3"): State("BLOCKED", 4, 1),
    ("nuget-org", "System.Text.Encodings.Web", "4.5.0"): State("BLOCKED"),
    ("crates-io", "rustdecimal", "1.23.1"): State("BLOCKED"),
    ("npm-preview", "rc", "1.2.9"): State("BLOCKED", reasons=("Malicious: steals passwords after installation",)),
    ("docker-prod", "payments-api", "3.4.1"): State(None, 2, 0, ("By hand: a credential in layer 4",)),
    ("docker-local", "legacy-worker", "1.0.3"): State(None, 0, 1, ("By hand: base image out of support",)),
}
"""Versions that stand out, by registry, name and version."""

# Seconds per download; the tags of an image grow together.
GROWING = {
    ("docker-prod", "storefront"): 3.0,
    ("npm-remote", "lodash", "4.17.21"): 5.0,
    ("maven-central", "org.apache.logging.log4j:log4j-core", "2.14.1"): 60.0,
}
"""Artifacts whose downloads grow."""

# The canaries of next come through a scanned registry.
PUSHED = (
    ("docker-prod", "storefront", "4.12.0-rc.{}"),
    ("npm-remote", "next", "15.1.0-canary.{}"),
    ("helm-charts", "storefront", "4.12.0-rc.{}"),
    ("docker-local", "checkout-api", "main-{}"),
    ("generic-tools", "build-report", "build-{}"),
)
"""Registry, name and version of builds that are pushed."""

PULL = {
    "DOCKER": "docker pull pkg.example.com/{space}/{registry}/{name}:{version}",
    "HELM": "helm pull oci://pkg.example.com/{space}/{registry}/{name} --version {version}",
    "NPM": "npm install {name}@{version} ",
    "PYTHON": "pip install {name}=={version} ",
    "NUGET": "nuget install {name} -Version {version} -Source <SOURCE>",
    "GO": "go get {name}@{version}",
    "CARGO": "cargo add {name}@{version}",
}
"""`pullCommand` by package type."""
PURL = {"NPM": "npm", "MAVEN": "maven", "PYTHON": "pypi", "GO": "golang", "NUGET": "nuget", "CARGO": "cargo"}
"""Type of the package URL by package type."""

BLANK = {
    "docker-prod": ("latestVersion", "registryPath"),
    "helm-charts": ("registryPath", "registryUUID"),
    "terraform-modules": ("uuid", "registryUUID", "latestVersion"),
}
"""Fields that are empty, by registry."""
ABSENT = {
    "docker-local": ("latestVersion",),
    "generic-tools": ("uuid", "registryUUID", "registryPath", "registryType"),
    "terraform-modules": ("registryType", "isQuarantined"),
}
"""Fields that are missing, by registry."""
TIMES_AS_NUMBERS = ("crates-io", "hf-models")
"""Registries whose times are numbers, not text."""
SOFT_DELETED = Key("generic-tools", "release-notes", "4.9")
"""Version that is listed although it was deleted."""
NEVER_MODIFIED = Key("terraform-modules", "acme/labels/null", "1.0.0")
"""Version whose time of modification was never set."""

SCAN_AGES = (0.1, 1.0, 2.0, 0.5, 9.0, 3.0, 6.0, 41.0, 1.5, 4.0, 130.0)  # days before the last midnight (UTC)
WARNED_EVERY, UNSCANNED_EVERY = 12, 17  # of the versions without a state of their own


def registries_at(now: float) -> tuple[RegistrySpec, ...]:
    """Return the registries of all spaces at a time, in seconds since the Unix epoch."""
    registries = REGISTRIES + PREVIEW_REGISTRIES if PREVIEW.includes(now) else REGISTRIES
    if not WEAKENING.includes(now):
        return registries
    return tuple(
        registry._replace(firewall="WARN") if registry.name == WEAKENED else registry for registry in registries
    )
