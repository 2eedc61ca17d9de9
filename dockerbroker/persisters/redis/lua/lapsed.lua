-- Finds the operations whose lease has lapsed.

local ids = redis.call('ZRANGEBYSCORE', base .. 'leases', '-inf', time(now()))
return { 'found', records('operation', ids) }
