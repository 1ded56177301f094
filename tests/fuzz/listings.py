"""Any bytes are a page of registries, a page of violations and a firewall mode, or a documented error."""

from exporter.harness.errors import BadJsonError, BadShapeError, PaginationError, TooLargeError
from exporter.harness.registries import decode_firewall_mode, decode_registries
from exporter.harness.violations import decode_violations
from exporter.labels import MAX_LENGTH

NOW = 1_795_000_000.0
ROWS = 4

TOKENS = (
    *b'"status" "SUCCESS" "data" "registries" "itemCount" "pageSize" "meta" "error" "message" "config"'.split(),
    *b'"identifier" "uuid" "type" "UPSTREAM" "packageType" "path" "artifactsCount" "isPublic" "registrySize"'.split(),
    *b'"deletedAt" "firewallMode" "upstreamProxyConfigFirewallMode" "id" "packageName" "version" "purl"'.split(),
    *b'"registryId" "registryName" "RegistryOrgId" "registryprojectid" "scanStatus" "exemptionStatus"'.split(),
    *b'"securityViolationCategories" "policySets" "policySetName" "lastEvaluatedAt" "acct/org/p/r" "1.5GB"'.split(),
    *b'null true false 0 -1 1.5 1e999 NaN 01 {} [] "0" "1730978736333" ["a"] [{}] "1e3GB" "100 MB"'.split(),
    *(rb'"\ud800"', b'"\xff"', b'"\x00"', b"[" * 1_000, b"9" * 641, b'"%s"' % (b"x" * 257)),
)


def check(data):
    """Decode a body in every way."""
    for decode in (decode_registries, decode_violations):
        page = _decoded(lambda decode=decode: decode(data, NOW, rows_asked=ROWS))
        if page is not None:
            assert len(page.found) + page.rejected.rows == page.rows <= ROWS
            assert page.item_count is None or page.item_count >= 0
            assert page == decode(data, NOW, rows_asked=ROWS)
            for row in page.found:
                hash(row)
    _decoded(lambda: decode_firewall_mode(data))


def _decoded(decode):
    try:
        return decode()
    except (BadJsonError, BadShapeError, PaginationError, TooLargeError) as error:
        _check_message(str(error))
        return None


def _check_message(message):
    assert message.isprintable(), ascii(message)
    assert len(message) < 3 * MAX_LENGTH, message
