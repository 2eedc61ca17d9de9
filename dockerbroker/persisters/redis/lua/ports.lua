-- Finds the ports of a host that are leased.

return { 'found', redis.call('HKEYS', key('ports', given.id)) }
