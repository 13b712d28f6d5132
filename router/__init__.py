"""What an answer is: pure decisions, standard library only. Start with `router.answering`."""
