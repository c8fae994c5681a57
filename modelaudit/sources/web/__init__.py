"""HTTP for the sources that speak it: `Web` sends requests, `Service` is one server with its credentials.

The only place that knows the HTTP library.
"""

from modelaudit.sources.web.client import Web
from modelaudit.sources.web.service import Credentials, Fixed, Page, Service, send_whole

__all__ = ["Credentials", "Fixed", "Page", "Service", "Web", "send_whole"]
