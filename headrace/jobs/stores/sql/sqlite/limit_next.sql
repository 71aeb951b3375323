-- The partition that comes after this one; what is null comes after nothing.
select {partition} from oban_jobs indexed by {index}
where state = 'available' and queue = {queue} and {partition} > :after and (:until is null or {partition} <= :until)
order by {partition}
limit 1
