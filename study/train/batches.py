"""The training images of a pack, on its device, and which of them each model sees when."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from study.config import Config
from study.train import bank, data, seeds


class Batches:
    """The images that the models of a pack are trained on. Models of one seed share their order.

    configs: of one bucket, that is, of one data set, augmentation and number of epochs.
    """

    def __init__(
        self, configs: Sequence[Config], dataset: data.Dataset, device: torch.device
    ) -> None:
        self.dataset, self.device = dataset, device
        self.labels = torch.from_numpy(dataset.train.labels).to(device)
        self.bank = self._upload_bank(configs[0])
        self.select(configs)

    def select(self, configs: Sequence[Config]) -> None:
        """Go on with the models of these configurations."""
        by_seed = {config.seed: config for config in configs}
        self.seeds = list(by_seed)
        places = [self.seeds.index(config.seed) for config in configs]
        self.places = torch.tensor(places, device=self.device)
        firsts = [bank.first_copies(config, self.dataset) for config in by_seed.values()]
        self.first_copies = torch.from_numpy(np.stack(firsts)).to(self.device)  # [seeds, N]

    def of_epoch(self, epoch: int) -> tuple[Tensor, Tensor]:
        """Return the order of each model's images in an epoch (1, 2, ...), and the copy of the bank
        that each image is taken from, int64 [N, models] both."""
        count = len(self.labels)
        drawn = torch.empty(len(self.seeds), count, dtype=torch.int64)
        for row, seed in zip(drawn, self.seeds):
            shuffle = seeds.generator(seed, seeds.ORDER, epoch)
            torch.randperm(count, generator=shuffle, out=row)
        orders = drawn.to(self.device)  # [seeds, N]
        copies = (self.first_copies.gather(1, orders) + epoch) % len(self.bank)
        return self._by_model(orders), self._by_model(copies)

    def images(self, order: Tensor, copies: Tensor) -> Tensor:
        """Return each model's images of a batch, uint8 [batch, models, C, H, W]; order, copies:
        [batch, models]."""
        return self.bank[copies, order]

    def _upload_bank(self, config: Config) -> Tensor:
        """Return the images on the device, uint8 [copies, N, C, H, W]: one copy after another, so
        that the host never holds them all."""
        shape = (bank.count_copies(config), *self.dataset.train.images.shape)
        images = torch.empty(shape, dtype=torch.uint8, device=self.device)
        for row, copy in zip(images, bank.copies(config, self.dataset)):
            row.copy_(torch.from_numpy(copy))
        return images

    def _by_model(self, rows: Tensor) -> Tensor:
        """[seeds, N] to [N, models]. Rows first: a gather of columns would leave the cache."""
        return rows[self.places].t().contiguous()
