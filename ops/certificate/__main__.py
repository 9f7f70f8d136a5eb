"""`python -m ops.certificate ERP_LOG ...`: see `cli`."""

import sys

from ops.certificate.cli import main

sys.exit(main())
