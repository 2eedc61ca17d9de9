-- Finds every host, and what time it is.

return { 'found', records('host', redis.call('SMEMBERS', base .. 'hosts')), time(now()) }
