"""How fast htrun and its peers are, measured as whole commands; ``make bench`` runs it."""
