insert into headrace_dead_letter_takers (uuid, beats) values (?, 1)
on conflict (uuid) do update set beats = beats + 1
