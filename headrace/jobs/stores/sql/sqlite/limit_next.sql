-- The next partition; null comes after none.
select {partition} from oban_jobs indexed by {index}
where state = 'available' and queue = {queue} and {partition} > ?1 and (?2 is null or {partition} <= ?2)
order by {partition}
limit 1
