"""The table: every command line that is typed, in the order of a first session."""

from tests.commands.helping import HELPING
from tests.commands.looking import LOOKING
from tests.commands.serving import SERVING
from tests.commands.training import TRAINING
from tests.commands.using import USING

ROWS = [*LOOKING, *TRAINING, *USING, *SERVING, *HELPING]
