select letters, size from headrace_dead_letter_totals
