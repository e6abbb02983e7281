/* Which features a coupling block transforms.
 *
 * Blocks come in pairs: a balanced half, then its complement. The halves are chosen so that every two features are
 * separated by some pair of blocks as early and as evenly as possible; the choice is a function of the numbers of
 * features and blocks alone, and is written out in the model's JSON.
 */
#ifndef TW_FLOW_MASKS_H
#define TW_FLOW_MASKS_H

/* masks (blocks, features): 1 = transformed. One feature is transformed by every block. Negative when memory is out. */
int tw_masks_default(int blocks, int features, unsigned char *masks);

#endif
