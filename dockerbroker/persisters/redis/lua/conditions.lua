-- Finds the conditions of instances that are not as they should be.

return { 'found', record(base .. 'conditions') or {} }
