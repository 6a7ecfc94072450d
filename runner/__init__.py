"""What is shipped into a sandbox and what speaks to it: agent, protocol, proxy, workspace, documents. Imports only itself."""
