-- Finds the ports of a host that are leased, and to whom.

return { 'found', record(key('ports', given.id)) or {} }
