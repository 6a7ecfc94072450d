// How many columns and rows fit into a window.
import { FitAddon } from "@xterm/addon-fit";

/** The add-on goes by cells as they are drawn, a hair wider or narrower the more there are of them: two pages of one size,
 * or one before and after a reload, would not agree, and each resize calls for the next. This one goes by the font. */
export class Fitting extends FitAddon {
  proposeDimensions() {
    const { css, device } = this._terminal._core._renderService.dimensions;
    const drawn = css.cell;
    css.cell = { width: device.cell.width / devicePixelRatio, height: device.cell.height / devicePixelRatio };
    try {
      return super.proposeDimensions();
    } finally {
      css.cell = drawn;
    }
  }
}
