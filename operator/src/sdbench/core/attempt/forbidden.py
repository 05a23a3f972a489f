"""With which words does the API server refuse an object? A sentence quotes names, too: only its own words count.

Names of objects, quotas and webhooks are in quotation marks, or hold neither blanks nor `: `.
"""

import re

FORBIDDEN = re.compile("is forbidden: ")
BY_QUOTA = re.compile(
    f"{FORBIDDEN.pattern}(?:exceeded quota|failed quota|insufficient quota to consume): "
    "|^(?:.*: )?insufficient quota to match these scopes: "
)
UNCOUNTED_QUOTA = re.compile(f"{FORBIDDEN.pattern}status unknown for quota: ")
"""A quota that was just made; its use is being counted."""
