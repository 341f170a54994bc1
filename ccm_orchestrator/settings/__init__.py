"""The configuration: read once, validated, handed down as constructor arguments.

`types` what a value may be, with the words for it · `sections` and `model` every key · `profiles` the `[profiles.NAME]`
tables · `sources` where values come from and which of them wins · `problems` the sentence for each bad value
"""

from ccm_orchestrator.settings.model import Settings
from ccm_orchestrator.settings.sources import config_path, load_settings

__all__ = ["Settings", "config_path", "load_settings"]
