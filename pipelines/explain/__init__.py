"""Why a network said what it said: one method per file, and the score card that judges their maps."""
