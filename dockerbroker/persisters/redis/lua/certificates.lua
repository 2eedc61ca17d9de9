-- Finds every certificate, in the order of the hosts.

return { 'found', records('certificate', redis.call('ZRANGE', base .. 'certificates', 0, -1)) }
