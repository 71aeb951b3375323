select uuid, beats from headrace_dead_letter_takers
