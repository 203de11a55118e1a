"""YAML text -> Plan: looks up every component, checks every option, and reports all faults at once."""
