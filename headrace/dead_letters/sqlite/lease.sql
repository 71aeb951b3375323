update headrace_dead_letters set taken_by = ?, takes = takes + 1 where id in (select value from json_each(?))
