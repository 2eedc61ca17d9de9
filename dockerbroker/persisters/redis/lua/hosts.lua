-- Finds every host, as it is kept.

return { 'found', records('host', redis.call('SMEMBERS', base .. 'hosts')) }
