/** The first half of a surrogate pair at the end of a text: it is no character yet, and has no bytes of its own. */
export const halfCharacter: RegExp = /[\ud800-\udbff]$/

/** That, or the first half of a line end. */
export const halfCharacterOrLineEnd: RegExp = /[\r\ud800-\udbff]$/
