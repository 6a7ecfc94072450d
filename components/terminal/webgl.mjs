// Drawing with the graphics card, where there is one: without one xterm's own renderer is faster.

const BY_SOFTWARE = /swiftshader|llvmpipe|software/i;

/** The renderer, loaded when it is wanted; null where there is no card for it. */
async function renderer() {
  try {
    const gl = document.createElement("canvas").getContext("webgl2");
    const name = gl?.getParameter(gl.getExtension("WEBGL_debug_renderer_info")?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER);
    gl?.getExtension("WEBGL_lose_context")?.loseContext();
    if (!name || BY_SOFTWARE.test(name)) return null;
    return new (await import("@xterm/addon-webgl")).WebglAddon();
  } catch {
    return null;
  }
}

export async function useWebgl(term) {
  const addon = await renderer();
  if (!addon || !term.element?.isConnected) return;
  addon.onContextLoss(() => addon.dispose()); // xterm goes on with its own
  try {
    term.loadAddon(addon);
  } catch {
    addon.dispose();
  }
}
