"""What one REPL can do: protocol, agent, proxy, workspace, documents. Ships alone; imports itself only."""
