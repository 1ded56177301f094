"""Links to the page of a registry in the Harness UI."""

import re
from dataclasses import dataclass
from urllib.parse import quote

from exporter.labels import clean
from exporter.scopes import parts_of


@dataclass(frozen=True, slots=True)
class RegistryLink:
    """Link to the registries of one space.

    Attributes:
        template: URL with `{base}`, `{account}`, `{org}`, `{project}` and `{registry}`; empty for no links.
        base_url: value of `{base}`.
        space: `account`, `account/org` or `account/org/project`.
    """

    template: str
    base_url: str
    space: str

    def __call__(self, registry: str) -> str:
        """Return the URL of a registry's page as a label value.

        A pair of segments such as `/orgs/{org}` is omitted if the space has no organization or no project.
        """
        account, org, project = parts_of(self.space)
        template = self.template
        for name, value in (("org", org), ("project", project)):
            if not value:
                template = re.sub(rf"/[^/{{}}]+/\{{{name}\}}", "", template)
        names = {"account": account, "org": org, "project": project, "registry": registry}
        # No safe characters: each value is a single segment, so a slash in it must be escaped too.
        return clean(
            template.format(base=self.base_url, **{name: quote(text, safe="") for name, text in names.items()})
        )
