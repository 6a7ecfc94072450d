// Tells the pages of this origin that somebody has signed in, and closes the pop-up. Who it is they ask the server.
if (window.BroadcastChannel) new BroadcastChannel("devex:signed-in").postMessage("");
window.close();
