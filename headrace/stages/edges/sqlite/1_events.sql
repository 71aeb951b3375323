-- Events that were taken in and are not through, oldest first by id; an id is never given twice.
create table headrace_buffer (
    id integer primary key autoincrement,
    event text not null,
    size integer not null
);
