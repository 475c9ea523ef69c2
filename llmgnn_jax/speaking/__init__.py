"""Words from evidence: sentences that a decoder writes and a checker lets pass."""
