"""Documents and verdicts → dataset → LoRA → merged → evaluated → promoted. Nothing in `services.api` imports this."""
