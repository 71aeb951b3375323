select uuid, beats from headrace_producers
